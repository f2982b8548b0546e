// Loaded into Node.js in build steps: `playwright install` downloads no browser that this machine stands in for.
'use strict';

const OURS = new Set(['chromium', 'chromium-headless-shell', 'chrome', 'chrome-beta', 'msedge', 'ffmpeg']);
const [, script = '', command, ...words] = process.argv;
const isPlaywright = /(?:playwright|patchright)(?:-core)?(?:\/driver\/package)?\/cli\.js$|\.bin\/(?:playwright|patchright)$/;

if (isPlaywright.test(script) && (command === 'install' || command === 'install-deps')) {
    const named = words.filter((word) => !word.startsWith('-'));
    const others = named.filter((name) => !OURS.has(name));
    if (others.length === 0) {
        console.log("Nothing is downloaded: this machine's own Chromium stands in.");
        if (named.length === 0) console.log('Warning: Firefox and WebKit are not installed unless they are named.');
        process.exit(0);
    }
    process.argv.splice(3, words.length, ...words.filter((word) => !OURS.has(word)));
}
