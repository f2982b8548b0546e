"""Builds container images with a Docker Engine, or with what speaks its API."""
