import assert from 'node:assert/strict';
import { test } from 'node:test';

import { builtActor, client, collect, freshName, readAll, stranger, version } from './client.mjs';

test('an Actor is created, read, updated and deleted', async () => {
    const made = await client.actors().create({ name: freshName('actor'), title: 'A title', versions: [version()] });
    const actor = client.actor(`${made.username}/${made.name}`);
    assert.equal((await actor.get()).id, made.id);
    assert.equal((await actor.update({ description: 'Says it' })).description, 'Says it');
    assert.ok((await client.actors().list({ my: true })).items.some(({ id }) => id === made.id));
    await client.actor(made.id).delete();
    assert.equal(await client.actor(made.id).get(), undefined);
});

test('versions and environment variables are managed', async () => {
    const { id } = await client.actors().create({ name: freshName('actor'), versions: [version()] });
    const actor = client.actor(id);
    await actor.versions().create({ ...version(), versionNumber: '0.2', buildTag: 'beta' });
    assert.equal((await actor.versions().list()).total, 2);
    await actor.version('0.2').update({ ...version('print(1)'), buildTag: 'gamma' });
    assert.equal((await actor.version('0.2').get()).buildTag, 'gamma');
    const variables = actor.version('0.2').envVars();
    await variables.create({ name: 'OPEN', value: 'seen' });
    await variables.create({ name: 'CLOSED', value: 'hidden', isSecret: true });
    const listed = await variables.list();
    assert.deepEqual(listed.items.map(({ name, value }) => [name, value]), [['OPEN', 'seen'], ['CLOSED', undefined]]);
    await actor.version('0.2').envVar('OPEN').update({ name: 'OPEN', value: 'changed' });
    assert.equal((await actor.version('0.2').envVar('OPEN').get()).value, 'changed');
    await actor.version('0.2').delete();
    assert.equal(await actor.version('0.2').get(), undefined);
});

test('a large version is sent compressed and kept whole', async () => {
    const content = `text = ${JSON.stringify('ř'.repeat(200_000))}\n`;
    const { id } = await client.actors().create({ name: freshName('actor'), versions: [version(content)] });
    assert.equal((await client.actor(id).version('0.1').get()).sourceFiles[0].content, content);
});

test('a build is waited for, its log read, its tags set and taken away', async () => {
    const { id } = await client.actors().create({ name: freshName('actor'), versions: [version()] });
    const started = await client.actor(id).build('0.1', { tag: 'latest', useCache: true });
    const build = await client.build(started.id).waitForFinish();
    assert.equal(build.status, 'SUCCEEDED');
    assert.ok(build.finishedAt instanceof Date);
    assert.match(await client.build(build.id).log().get(), /main\.py/);
    const tagged = await client.actor(id).update({ taggedBuilds: { stable: { buildId: build.id } } });
    assert.equal(tagged.taggedBuilds.stable.buildNumber, '0.1.1');
    const untagged = await client.actor(id).update({ taggedBuilds: { stable: null } });
    assert.deepEqual(Object.keys(untagged.taggedBuilds), ['latest']);
    assert.deepEqual((await client.actor(id).builds().list()).items.map((row) => row.id), [build.id]);
    assert.equal((await (await client.actor(id).defaultBuild()).get()).id, build.id);
});

test('call runs an Actor to its end and redirects its log', async () => {
    const actor = await builtActor();
    const run = await actor.call({ big: 'x'.repeat(5000) }, { memory: 256, timeout: 120, log: null });
    assert.deepEqual([run.status, run.exitCode, run.options.memoryMbytes], ['SUCCEEDED', 0, 256]);
    const { value } = await client.run(run.id).keyValueStore().getRecord('OUTPUT');
    assert.equal(value.big.length, 5000);
    assert.match(await client.log(run.id).get(), /line one\n.*line two\n/);
    assert.equal((await actor.lastRun({ status: 'SUCCEEDED' }).get()).id, run.id);
});

test('the log of a run is streamed until the run ends', async () => {
    const actor = await builtActor();
    const { id } = await actor.start({ sleep: 1 });
    const text = (await readAll(await client.log(id).stream())).toString();
    assert.match(text, /line one\n.*line two\n/);
    const run = await client.run(id).waitForFinish();
    assert.equal(run.status, 'SUCCEEDED');
});

test('a failing run tells its exit code', async () => {
    const actor = await builtActor();
    const run = await actor.start({ code: 3 }, { waitForFinish: 60 });
    assert.deepEqual([run.status, run.exitCode], ['FAILED', 3]);
});

test('waiting is limited, and a run is aborted and deleted', async () => {
    const actor = await builtActor();
    const { id } = await actor.start({ sleep: 600 });
    const waiting = await client.run(id).waitForFinish({ waitSecs: 1 });
    assert.ok(['READY', 'RUNNING'].includes(waiting.status));
    await client.run(id).update({ statusMessage: 'Half way' });
    await client.run(id).abort();
    const run = await client.run(id).waitForFinish();
    assert.equal(run.status, 'ABORTED');
    assert.ok((await client.runs().list({ status: 'ABORTED' })).items.some((row) => row.id === id));
    await client.run(id).delete();
    assert.equal(await client.run(id).get(), undefined);
});

test('a task is started with input over its own', async () => {
    const actor = await builtActor();
    const { id: actId } = await actor.get();
    const made = await client.tasks().create({ actId, name: freshName('task'), input: { a: 1, b: 2 } });
    const task = client.task(made.id);
    const run = await task.call({ b: 3 }, { memory: 256 });
    assert.equal(run.actorTaskId, made.id);
    assert.deepEqual((await task.lastRun().keyValueStore().getRecord('OUTPUT')).value, { a: 1, b: 3 });
    assert.deepEqual(await task.updateInput({ c: 4 }), { a: 1, b: 2, c: 4 });
    assert.deepEqual(await task.getInput(), { a: 1, b: 2, c: 4 });
    assert.equal((await task.update({ title: 'Titled' })).title, 'Titled');
    assert.ok((await client.tasks().list()).items.some((row) => row.id === made.id));
    await task.delete();
    assert.equal(await task.get(), undefined);
});

test('a webhook is created, tested, updated and deleted', async () => {
    const { id: actorId } = await client.actors().create({ name: freshName('actor'), versions: [version()] });
    const made = await client.webhooks().create({
        eventTypes: ['ACTOR.RUN.SUCCEEDED'],
        condition: { actorId },
        requestUrl: 'http://127.0.0.1:9/nobody-listens',
        idempotencyKey: freshName('once'),
    });
    const webhook = client.webhook(made.id);
    const dispatch = await webhook.test();
    assert.equal((await client.webhookDispatch(dispatch.id).get()).webhookId, made.id);
    assert.equal((await webhook.dispatches().list()).total, 1);
    assert.equal((await webhook.update({ description: 'Says it' })).description, 'Says it');
    assert.equal((await client.actor(actorId).webhooks().list()).total, 1);
    await webhook.delete();
    assert.equal(await webhook.get(), undefined);
});

test('input is validated', async () => {
    const actor = await builtActor();
    assert.equal(await actor.validateInput({ anything: 'goes' }), true);
});

test('accounts are read, and errors have a type', async () => {
    const me = await client.user().get();
    assert.ok(me.proxy.password);
    assert.equal((await stranger.user(me.id).get()).username, me.username);
    await assert.rejects(client.actor('absent').start(), { type: 'record-not-found', statusCode: 404 });
    assert.equal(await client.run('absent').get(), undefined);
    assert.equal(await client.log('absent').get(), undefined);
    assert.ok(Array.isArray(await collect(client.actors().list({ my: true }))));
});
