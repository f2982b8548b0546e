#!/bin/sh
exec "$CALLBOARD_PYTHON" -I -S "${0%/*}/pip_by_uv.py" "$@"
