"""Inputs of Actors: their schemas, their secrets, and the memory computed from them. Pure, no I/O."""
