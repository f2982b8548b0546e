"""Callboard: a self-hosted, Apify-compatible platform for Actors."""
