"""Who may do what: asked before every effect."""
