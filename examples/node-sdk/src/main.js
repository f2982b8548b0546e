// Pushes the parts of every link to the dataset; the output says which links could not be read.

import { Actor, log } from 'apify';

await Actor.init();

const { links } = await Actor.getInput();
const unreadable = links.filter((link) => !URL.canParse(link));
const items = links
    .filter((link) => URL.canParse(link))
    .map((link) => {
        const { hostname, pathname, searchParams } = new URL(link);
        return { link, hostname, pathname, query: Object.fromEntries(searchParams) };
    });
log.info('Read the links', { readable: items.length, unreadable: unreadable.length });

await Actor.pushData(items);
await Actor.setValue('OUTPUT', { readable: items.length, unreadable });

await Actor.exit(`Took ${items.length} links apart`);
