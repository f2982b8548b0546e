// Answers the one request that the tool makes elsewhere when it pushes a new Actor: for a list of templates.

const https = require('node:https');
const { PassThrough } = require('node:stream');

const get = https.get;

https.get = (url, answer) => {
    if (!String(url).startsWith('https://raw.githubusercontent.com/')) return get.call(https, url, answer);
    const response = Object.assign(new PassThrough(), { statusCode: 200 });
    answer(response);
    response.end(JSON.stringify({ templates: [] }));
    return new PassThrough();
};
