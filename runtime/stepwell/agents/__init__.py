"""An agent's words: what its model is asked, and what the answer means. The loop is engine state."""
