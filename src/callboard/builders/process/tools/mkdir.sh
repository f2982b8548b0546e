#!/bin/sh
# Folders that the Dockerfile names at the top of the tree are there before the first step, so `mkdir` must not mind.
exec /usr/bin/env -u LD_PRELOAD /bin/mkdir -p "$@"
