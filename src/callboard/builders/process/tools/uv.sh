#!/bin/sh
# In the images packages go to the system's Python; in a stage that is the environment `uv pip` finds by itself.
first=$1
unset UV_SYSTEM_PYTHON
if [ "$first" = pip ]; then
    count=$#
    while [ "$count" -gt 0 ]; do
        word=$1
        shift
        case $word in
            --system|--break-system-packages) ;;
            *) set -- "$@" "$word" ;;
        esac
        count=$((count - 1))
    done
else
    unset VIRTUAL_ENV # projects have environments of their own
fi
exec "$CALLBOARD_UV" "$@"
