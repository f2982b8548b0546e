// What all test files share: clients bound to the accounts that the caller of these tests made, and a small Actor.

import { randomUUID } from 'node:crypto';

import { ApifyClient } from 'apify-client';

const { CALLBOARD_URL: baseUrl, CALLBOARD_TOKEN: token, CALLBOARD_OTHER_TOKEN: otherToken } = process.env;

export const client = new ApifyClient({ baseUrl, token, publicBaseUrl: baseUrl });
export const stranger = new ApifyClient({ baseUrl, token: otherToken, publicBaseUrl: baseUrl });
export const freshName = (kind) => `${kind}-${randomUUID().slice(0, 8)}`;

const ECHO = `
import json, os, sys, time, urllib.request
store = os.environ["APIFY_API_BASE_URL"] + "/v2/key-value-stores/" + os.environ["ACTOR_DEFAULT_KEY_VALUE_STORE_ID"]
headers = {"Authorization": "Bearer " + os.environ["APIFY_TOKEN"], "Content-Type": "application/json"}
def send(method, key, body=None):
    request = urllib.request.Request(store + "/records/" + key, body, headers, method=method)
    return urllib.request.urlopen(request).read()
given = json.loads(send("GET", "INPUT"))
print("line one", flush=True)
send("PUT", "OUTPUT", json.dumps(given).encode())
time.sleep(given.get("sleep", 0))
print("line two", flush=True)
sys.exit(given.get("code", 0))
`;

export function version(content = ECHO) {
    return {
        versionNumber: '0.1',
        sourceType: 'SOURCE_FILES',
        buildTag: 'latest',
        sourceFiles: [{ name: 'main.py', format: 'TEXT', content }],
    };
}

export async function builtActor() {
    const actor = await client.actors().create({ name: freshName('actor'), versions: [version()] });
    const build = await client.actor(actor.id).build('0.1', { waitForFinish: 60 });
    if (build.status !== 'SUCCEEDED') throw new Error(`the build ${build.status}: ${build.statusMessage}`);
    return client.actor(actor.id);
}

export async function readAll(stream) {
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    return Buffer.concat(chunks.map((chunk) => Buffer.from(chunk)));
}

export async function collect(items) {
    const all = [];
    for await (const item of items) all.push(item);
    return all;
}
