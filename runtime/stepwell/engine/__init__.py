"""The rules of a run, as arithmetic: inputs in, events out, commands due.

`decide(state, given)` says what is newly known, `evolve(state, event)` folds it in, and
`due(state, now)` says what should be in flight. Nothing here knows a clock, a socket or a
database; a worker that died is no special case, the next one folds the log and asks `due`.
"""
