#!/bin/sh
exec "$CALLBOARD_PYTHON" -I -S /run/callboard/tools/pip_by_uv.py "$@"
