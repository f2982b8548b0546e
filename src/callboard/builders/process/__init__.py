"""Builds without containers: a Dockerfile, or what stands for one, interpreted on the host behind the sandbox."""
