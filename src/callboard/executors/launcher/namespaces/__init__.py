"""The sandbox without bubblewrap: a program of our own that reads the same options and does the same.

It is started once for each job, by `-S -I` and a path, so its modules import as little as they can: each import is
time that a job waits.
"""
