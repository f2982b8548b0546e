import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'node:test';

import { client, collect, freshName, readAll, stranger } from './client.mjs';

async function dataset(items = []) {
    const { id } = await client.datasets().getOrCreate(freshName('dataset'));
    if (items.length) await client.dataset(id).pushItems(items);
    return client.dataset(id);
}

async function store() {
    return client.keyValueStore((await client.keyValueStores().getOrCreate()).id);
}

async function queue(count, options) {
    const { id } = await client.requestQueues().getOrCreate();
    const requests = Array.from({ length: count }, (_, n) => ({ url: `https://example.com/${n}`, uniqueKey: `key-${n}` }));
    if (count) await client.requestQueue(id, options).batchAddRequests(requests);
    return client.requestQueue(id, options);
}

test('a dataset is created once, renamed and deleted', async () => {
    const name = freshName('dataset');
    const { id } = await client.datasets().getOrCreate(name);
    assert.equal((await client.datasets().getOrCreate(name)).id, id);
    assert.equal((await client.dataset(id).update({ title: 'Titled' })).title, 'Titled');
    assert.ok((await client.datasets().list()).items.some((row) => row.id === id));
    await client.dataset(id).delete();
    assert.equal(await client.dataset(id).get(), undefined);
});

test('items come back as they were pushed, compressed or not', async () => {
    const items = Array.from({ length: 50 }, (_, n) => ({ n, text: 'ř'.repeat(100) }));
    const filled = await dataset(items);
    const page = await filled.listItems();
    assert.deepEqual(page.items, items);
    assert.deepEqual([page.total, page.count, page.offset], [50, 50, 0]);
    await filled.pushItems(JSON.stringify({ n: 50 }));
    assert.deepEqual((await filled.listItems({ desc: true, limit: 1, fields: ['n'] })).items, [{ n: 50 }]);
    assert.equal((await collect(filled.listItems({ chunkSize: 20 }))).length, 51);
});

for (const format of ['json', 'jsonl', 'csv', 'html', 'xml', 'rss', 'xlsx']) {
    test(`items are downloaded as ${format}`, async () => {
        const filled = await dataset([{ a: 'one' }, { a: 'two' }]);
        const body = await filled.downloadItems(format);
        const text = Buffer.from(body).toString('latin1');
        assert.match(text, format === 'xlsx' ? /^PK/ : /two/);
    });
}

test('a signed link opens a private dataset', async () => {
    const filled = await dataset([{ n: 1 }, { n: 2 }]);
    await filled.update({ generalAccess: 'RESTRICTED' });
    const link = await filled.createItemsPublicUrl({ limit: 1 });
    assert.deepEqual(await (await fetch(link)).json(), [{ n: 1 }]);
    const { id } = await filled.get();
    await assert.rejects(stranger.dataset(id).listItems(), /^ApifyApiError: Insufficient permissions for the dataset\./);
    const ended = await filled.createItemsPublicUrl({ expiresInSecs: -1 });
    assert.equal((await fetch(ended)).status, 403);
});

const RECORDS = [
    ['object', { a: [1, null, 'ř'] }, 'application/json'],
    ['large object', { a: 'x'.repeat(10_000) }, 'application/json'],
    ['text', 'plain words', 'text/plain'],
    ['binary', randomBytes(10_000), 'application/octet-stream'],
];
for (const [kind, value, contentType] of RECORDS) {
    test(`a record that is ${kind} comes back as it was set`, async () => {
        const kept = await store();
        await kept.setRecord({ key: 'K', value });
        const record = await kept.getRecord('K');
        assert.deepEqual(record.value, value);
        assert.equal(record.contentType.split(';')[0], contentType);
    });
}

test('a record is streamed in and out', async () => {
    const kept = await store();
    const content = randomBytes(300_000);
    await kept.setRecord({ key: 'big', value: Readable.from([content]), contentType: 'image/png' });
    const record = await kept.getRecord('big', { stream: true });
    assert.equal(record.contentType, 'image/png');
    assert.deepEqual(await readAll(record.value), content);
});

test('records are listed, found and deleted', async () => {
    const kept = await store();
    for (const key of ['a-1', 'a-2', 'b-1']) await kept.setRecord({ key, value: key });
    const page = await kept.listKeys({ limit: 2 });
    assert.deepEqual(page.items.map(({ key }) => key), ['a-1', 'a-2']);
    assert.equal(page.nextExclusiveStartKey, 'a-2');
    assert.deepEqual((await kept.listKeys({ prefix: 'b' })).items.map(({ key }) => key), ['b-1']);
    assert.deepEqual((await collect(kept.listKeys())).map(({ key }) => key), ['a-1', 'a-2', 'b-1']);
    assert.equal(await kept.recordExists('a-1'), true);
    await kept.deleteRecord('a-1');
    assert.equal(await kept.recordExists('a-1'), false);
    assert.equal(await kept.getRecord('a-1'), undefined);
});

test('signed links open a private store', async () => {
    const kept = await store();
    await kept.update({ generalAccess: 'RESTRICTED' });
    await kept.setRecord({ key: 'K', value: { open: true } });
    assert.deepEqual(await (await fetch(await kept.getRecordPublicUrl('K'))).json(), { open: true });
    const keys = await (await fetch(await kept.createKeysPublicUrl())).json();
    assert.deepEqual(keys.data.items.map(({ key }) => key), ['K']);
    const { id } = await kept.get();
    await assert.rejects(
        stranger.keyValueStore(id).getRecord('K'),
        /^ApifyApiError: Insufficient permissions for the key-value store\./,
    );
});

test('requests are added once and leave the head when handled', async () => {
    const crawled = await queue(0);
    const request = { url: 'https://example.com/1', uniqueKey: 'one', userData: { label: 'A' } };
    const added = await crawled.addRequest(request);
    assert.equal((await crawled.addRequest(request)).wasAlreadyPresent, true);
    assert.deepEqual((await crawled.getRequest(added.requestId)).userData, { label: 'A' });
    await crawled.addRequest({ url: 'https://example.com/0' , uniqueKey: 'zero' }, { forefront: true });
    assert.deepEqual((await crawled.listHead()).items.map(({ uniqueKey }) => uniqueKey), ['zero', 'one']);
    await crawled.updateRequest({ ...request, id: added.requestId, handledAt: new Date().toISOString() });
    assert.deepEqual((await crawled.listHead()).items.map(({ uniqueKey }) => uniqueKey), ['zero']);
    const { handledRequestCount, pendingRequestCount } = await crawled.get();
    assert.deepEqual([handledRequestCount, pendingRequestCount], [1, 1]);
});

test('many requests are added and deleted in batches', async () => {
    const crawled = await queue(0);
    const requests = Array.from({ length: 60 }, (_, n) => ({ url: `https://example.com/${n}`, uniqueKey: `key-${n}` }));
    const { processedRequests, unprocessedRequests } = await crawled.batchAddRequests(requests);
    assert.deepEqual([processedRequests.length, unprocessedRequests.length], [60, 0]);
    await crawled.batchDeleteRequests([{ uniqueKey: 'key-0' }, { uniqueKey: 'key-1' }]);
    assert.equal((await crawled.get()).totalRequestCount, 58);
    const pages = await collect(crawled.paginateRequests({ maxPageLimit: 20 }));
    assert.equal(pages.flatMap(({ items }) => items).length, 58);
});

test('a lock keeps other clients away until it is given up', async () => {
    const mine = await queue(3, { clientKey: 'first-client' });
    const { id } = await mine.get();
    const theirs = client.requestQueue(id, { clientKey: 'second-client' });
    const [first, second] = (await mine.listAndLockHead({ lockSecs: 30, limit: 2 })).items;
    assert.deepEqual((await theirs.listAndLockHead({ lockSecs: 30 })).items.map(({ uniqueKey }) => uniqueKey), ['key-2']);
    const { lockExpiresAt } = await mine.prolongRequestLock(first.id, { lockSecs: 100 });
    assert.ok(new Date(lockExpiresAt) > new Date(first.lockExpiresAt));
    await mine.deleteRequestLock(second.id);
    assert.deepEqual((await theirs.listAndLockHead({ lockSecs: 30 })).items.map(({ id: one }) => one), [second.id]);
    assert.equal((await theirs.unlockRequests()).unlockedCount, 2);
});

test('a store, a dataset and a queue that are absent are undefined', async () => {
    assert.equal(await client.dataset('absent').get(), undefined);
    assert.equal(await client.keyValueStore('absent').get(), undefined);
    assert.equal(await client.keyValueStore('absent').getRecord('K'), undefined);
    assert.equal(await client.requestQueue('absent').get(), undefined);
});
