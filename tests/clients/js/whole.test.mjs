// Every public method of the official client, each called at least once. What there is to call is taken from the
// client's own classes: a method that a new version brings is a gap here.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as exported from 'apify-client';

import { client, collect, freshName } from './client.mjs';

const LEFT_OUT = [];
const MAIN = `
import json, os, time, urllib.request
api, headers = os.environ["APIFY_API_BASE_URL"] + "/v2", {"Authorization": "Bearer " + os.environ["APIFY_TOKEN"]}
store = api + "/key-value-stores/" + os.environ["ACTOR_DEFAULT_KEY_VALUE_STORE_ID"]
key = os.environ["ACTOR_INPUT_KEY"]
given = json.loads(urllib.request.urlopen(urllib.request.Request(store + "/records/" + key, headers=headers)).read())
print("started", flush=True)
time.sleep(given.get("sleep", 0))
`;
const VERSION = {
    versionNumber: '0.1',
    sourceType: 'SOURCE_FILES',
    buildTag: 'latest',
    sourceFiles: [{ name: 'main.py', format: 'TEXT', content: MAIN }],
};
const PRICING = {
    pricingModel: 'PAY_PER_EVENT',
    pricingPerEvent: {
        actorChargeEvents: { page: { eventTitle: 'A page', eventDescription: '-', eventPriceUsd: 0.5 } },
    },
};

const called = new Set();
const thereAre = new Set();

for (const [name, one] of Object.entries(exported)) {
    if (typeof one !== 'function' || !name.endsWith('Client')) continue;
    for (const method of Object.getOwnPropertyNames(one.prototype)) {
        const original = one.prototype[method];
        if (method === 'constructor' || method.startsWith('_') || typeof original !== 'function') continue;
        thereAre.add(`${name}.${method}`);
        one.prototype[method] = function recorded(...args) {
            called.add(`${name}.${method}`);
            return original.apply(this, args);
        };
    }
}

async function untilLogged(id, text) {
    let seen = '';
    for await (const chunk of await client.log(id).stream()) {
        seen += chunk.toString();
        if (seen.includes(text)) return;
    }
    throw new Error(`the log ended without ${text}: ${seen}`);
}

test('datasets', async () => {
    const { id } = await client.datasets().getOrCreate(freshName('tour'));
    const one = client.dataset(id);
    await one.pushItems([{ n: 1 }, { n: 2 }]);
    assert.equal((await one.listItems()).count, 2);
    assert.match((await one.downloadItems('csv')).toString(), /n/);
    await assert.rejects(one.getStatistics(), /schema/);
    assert.ok((await one.createItemsPublicUrl()).includes(id));
    await one.update({ title: 'New' });
    assert.equal((await one.get()).title, 'New');
    assert.ok((await collect(client.datasets().list())).some((row) => row.id === id));
    await one.delete();
});

test('key-value stores', async () => {
    const { id } = await client.keyValueStores().getOrCreate(freshName('tour'));
    const one = client.keyValueStore(id);
    await one.setRecord({ key: 'a', value: { b: 1 } });
    assert.deepEqual((await one.getRecord('a')).value, { b: 1 });
    assert.equal(await one.recordExists('a'), true);
    assert.deepEqual((await one.listKeys()).items.map(({ key }) => key), ['a']);
    for (const url of [await one.getRecordPublicUrl('a'), await one.createKeysPublicUrl()]) {
        assert.equal((await fetch(url)).status, 200);
    }
    await one.deleteRecord('a');
    await one.update({ title: 'New' });
    assert.equal((await one.get()).title, 'New');
    assert.ok((await collect(client.keyValueStores().list())).some((row) => row.id === id));
    await one.delete();
});

test('request queues', async () => {
    const { id } = await client.requestQueues().getOrCreate(freshName('tour'));
    const one = client.requestQueue(id, { clientKey: 'tour' });
    const requests = [0, 1, 2].map((n) => ({ url: `https://example.com/${n}`, uniqueKey: `${n}` }));
    const { requestId } = await one.addRequest(requests[0]);
    await one.batchAddRequests(requests.slice(1));
    assert.equal((await one.listHead()).items.length, 3);
    const locked = await one.listAndLockHead({ lockSecs: 60, limit: 2 });
    await one.prolongRequestLock(locked.items[0].id, { lockSecs: 60 });
    await one.deleteRequestLock(locked.items[0].id);
    assert.equal((await one.unlockRequests()).unlockedCount, 1);
    await one.updateRequest({ ...(await one.getRequest(requestId)), userData: { seen: true } });
    assert.equal((await one.listRequests()).items.length, 3);
    const pages = await collect(one.paginateRequests({ limit: 3 }));
    assert.equal(pages.flatMap(({ items }) => items).length, 3);
    await one.deleteRequest(requestId);
    await one.batchDeleteRequests([{ uniqueKey: '1' }]);
    await one.update({ title: 'New' });
    assert.equal((await one.get()).totalRequestCount, 1);
    assert.ok((await collect(client.requestQueues().list())).some((row) => row.id === id));
    await one.delete();
});

test('Actors, builds, runs and what belongs to them', async () => {
    const made = await client.actors().create({ name: freshName('tour'), versions: [VERSION] });
    const actor = client.actor(made.id);
    await actor.update({ title: 'New', pricingInfos: [PRICING] });
    assert.equal((await actor.get()).title, 'New');
    assert.ok((await collect(client.actors().list({ my: true }))).some((row) => row.id === made.id));
    await versions(actor);
    await builds(actor);
    await runs(actor, made.id);
    await tasks(made.id);
    await webhooks(actor, made.id);
    await actor.delete();
});

async function versions(actor) {
    await actor.versions().create({ versionNumber: '0.2', sourceType: 'SOURCE_FILES', sourceFiles: [] });
    assert.equal((await actor.versions().list()).total, 2);
    const version = actor.version('0.2');
    await version.update({ buildTag: 'beta' });
    assert.equal((await version.get()).buildTag, 'beta');
    await version.envVars().create({ name: 'A', value: '1' });
    assert.equal((await version.envVars().list()).total, 1);
    await version.envVar('A').update({ name: 'A', value: '2' });
    assert.equal((await version.envVar('A').get()).value, '2');
    await version.envVar('A').delete();
    await version.delete();
}

async function builds(actor) {
    const first = await client.build((await actor.build('0.1')).id).waitForFinish();
    assert.equal(first.status, 'SUCCEEDED');
    assert.equal((await (await actor.defaultBuild()).get()).id, first.id);
    const second = client.build((await actor.build('0.1', { tag: 'tour', waitForFinish: 60 })).id);
    assert.equal((await second.get()).buildNumber, '0.1.2');
    assert.match((await second.getOpenApiDefinition()).openapi, /^3\./);
    assert.ok(await second.log().get());
    assert.equal((await second.abort()).status, 'SUCCEEDED');
    assert.equal((await actor.builds().list()).total, 2);
    assert.ok((await client.builds().list()).total >= 2);
    await second.delete();
}

async function runs(actor, actorId) {
    assert.equal(await actor.validateInput({ sleep: 0 }), true);
    const { id, status } = await actor.call({ sleep: 0 }, { memory: 128, log: null });
    assert.equal(status, 'SUCCEEDED');
    assert.equal((await actor.lastRun().get()).id, id);
    const run = client.run(id);
    assert.equal((await run.dataset().listItems()).count, 0);
    assert.deepEqual((await run.keyValueStore().getRecord('INPUT')).value, { sleep: 0 });
    assert.equal((await run.requestQueue().get()).totalRequestCount, 0);
    assert.match(await run.log().get(), /started/);
    const streamed = await run.getStreamedLog();
    await streamed?.start();
    await streamed?.stop();
    await run.update({ statusMessage: 'seen' });
    process.env.ACTOR_RUN_ID = id;
    await client.setStatusMessage('said');
    assert.equal((await run.get()).statusMessage, 'said');
    assert.equal((await actor.runs().list()).total, 1);
    assert.ok((await client.runs().list()).total >= 1);
    assert.equal((await run.resurrect()).id, id);
    assert.equal((await run.waitForFinish()).status, 'SUCCEEDED');
    await running(actor, actorId);
    await run.delete();
}

async function running(actor, actorId) {
    const { id } = await actor.start({ sleep: 600 }, { memory: 128 });
    const run = client.run(id);
    await untilLogged(id, 'started');
    await run.charge({ eventName: 'page', count: 2 });
    await run.reboot();
    await untilLogged(id, '(start 2)');
    await run.metamorph(actorId, { sleep: 600 });
    await run.abort();
    assert.equal((await run.waitForFinish()).status, 'ABORTED');
}

async function tasks(actId) {
    const { id } = await client.tasks().create({ actId, name: freshName('tour'), options: { memoryMbytes: 128 } });
    const task = client.task(id);
    await task.update({ title: 'New' });
    assert.equal((await task.get()).title, 'New');
    await task.updateInput({ sleep: 0 });
    assert.deepEqual(await task.getInput(), { sleep: 0 });
    assert.equal((await task.publish()).isPublic, true);
    assert.equal((await task.unpublish()).isPublic, false);
    assert.equal((await task.call({})).status, 'SUCCEEDED');
    const started = await task.start({}, { waitForFinish: 60 });
    assert.equal((await task.lastRun().get()).id, started.id);
    assert.equal((await task.runs().list()).total, 2);
    assert.equal((await task.webhooks().list()).total, 0);
    assert.ok((await collect(client.tasks().list())).some((row) => row.id === id));
    await task.delete();
}

async function webhooks(actor, actorId) {
    const made = await client.webhooks().create({
        eventTypes: ['ACTOR.BUILD.ABORTED'],
        condition: { actorId },
        requestUrl: 'https://example.invalid/',
        doNotRetry: true,
    });
    const webhook = client.webhook(made.id);
    await webhook.update({ description: 'New' });
    assert.equal((await webhook.get()).description, 'New');
    const dispatch = await webhook.test();
    assert.equal((await client.webhookDispatch(dispatch.id).get()).id, dispatch.id);
    assert.equal((await webhook.dispatches().list()).total, 1);
    assert.ok((await client.webhookDispatches().list()).total >= 1);
    assert.equal((await actor.webhooks().list()).total, 1);
    assert.ok((await client.webhooks().list()).total >= 1);
    await webhook.delete();
}

test('schedules', async () => {
    const made = await client.schedules().create({
        name: freshName('tour'),
        cronExpression: '@daily',
        timezone: 'UTC',
        isEnabled: true,
        isExclusive: false,
        actions: [],
    });
    const schedule = client.schedule(made.id);
    assert.equal((await schedule.update({ cronExpression: '@hourly' })).cronExpression, '@hourly');
    assert.equal((await schedule.get()).id, made.id);
    assert.notEqual(await schedule.getLog(), undefined);
    assert.ok((await collect(client.schedules().list())).some((row) => row.id === made.id));
    await schedule.delete();
});

test('the account and the Store', async () => {
    const me = client.user();
    assert.ok((await me.get()).username);
    assert.ok((await me.limits()).limits);
    assert.ok(await me.monthlyUsage());
    await me.updateLimits({ dataRetentionDays: 9 });
    assert.ok((await client.store().list({ limit: 1 })).total >= 0);
});

test('nothing is left out', () => {
    const missing = [...thereAre].filter((method) => !called.has(method));
    assert.deepEqual(missing, LEFT_OUT);
});
