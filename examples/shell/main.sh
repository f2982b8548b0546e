#!/bin/sh
# Leaves a page of plain text as its output: an output need not be JSON. Talks to the API with curl.
set -eu

store="$APIFY_API_BASE_URL/v2/key-value-stores/$ACTOR_DEFAULT_KEY_VALUE_STORE_ID"

# The token goes through a file, as arguments can be seen by every process.
config=$(mktemp)
trap 'rm -f "$config"' EXIT
printf 'header = "Authorization: Bearer %s"\n' "$APIFY_TOKEN" >"$config"

api() {
    curl --config "$config" --silent --show-error --fail "$@"
}

echo "Looking around"
{
    echo "Actor:  $ACTOR_FULL_NAME, build $ACTOR_BUILD_NUMBER"
    echo "System: $(uname -s -r -m)"
    echo "Memory: $ACTOR_MEMORY_MBYTES MB"
    echo "Folder: $(pwd)"
} | api --request PUT "$store/records/OUTPUT" --header "Content-Type: text/plain; charset=utf-8" --data-binary @-
echo "Done"
