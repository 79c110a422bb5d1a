"""The pages for people: what waits for an answer, and what they prove with that it is they.

Rendered here, styled and helped by one file each, all from this package: no other host is asked, and
reading works without scripts. `app` is the door, and everything that keeps strangers out is in `guard`
and `sessions`.
"""
