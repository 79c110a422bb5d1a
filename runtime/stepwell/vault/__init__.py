"""Encryption of what is kept beside the log, so that destroying a key erases what it encrypted.

A key of the operator's ring (`ring`) wraps the data keys, which the store keeps. A data key belongs
to one run, or to one subject over all runs, and encrypts what a run has written (`sealer`). `vault`
has the keys at hand. The log itself stays whole and readable: it names content, by digests that
nobody can guess from.
"""
