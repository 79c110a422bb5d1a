"""What may stand in a question; each rule looks at one place and gives every way on from it."""
