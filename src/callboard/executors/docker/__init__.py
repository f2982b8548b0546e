"""Runs jobs as containers of a Docker Engine, or of what speaks its API."""
