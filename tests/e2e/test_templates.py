"""Projects of the kinds that `apify create` makes, built by Dockerfiles of their usual forms, and run."""

import json
from typing import Any

import pytest

from tests.e2e.sdk import PYTHON_FILES, SdkActors, needs_browser, needs_node
from tests.e2e.sites import serving

pytestmark = pytest.mark.xdist_group("templates")

PYTHON_DOCKERFILE = """\
# A comment before anything else
FROM apify/actor-python:3.11
USER myuser
COPY --chown=myuser:myuser requirements.txt ./
RUN echo "Python version:" \\
 && python --version \\
 && echo "Pip version:" \\
 && pip --version \\
 # and now the packages
 && pip install -r requirements.txt \\
 && echo "All installed Python packages:" \\
 && pip freeze
COPY --chown=myuser:myuser . ./
RUN python3 -m compileall -q my_actor/
CMD ["python3", "-m", "my_actor"]
"""
INSTALL = """\
RUN npm --quiet set progress=false \\
    && npm install --omit=dev --omit=optional \\
    && echo "Installed NPM packages:" \\
    && (npm list --omit=dev --all || true) \\
    && echo "Node.js version:" \\
    && node --version \\
    && rm -r ~/.npm
"""
JAVASCRIPT_DOCKERFILE = f"""\
FROM apify/actor-node:20
RUN npm ls @crawlee/core apify puppeteer playwright
COPY --chown=myuser:myuser package*.json ./
{INSTALL}
COPY --chown=myuser:myuser . ./
CMD npm start --silent
"""
TYPESCRIPT_BROWSER_DOCKERFILE = f"""\
FROM apify/actor-node-playwright-chrome:20 AS builder
RUN npm ls @crawlee/core apify puppeteer playwright
COPY --chown=myuser package*.json ./
RUN npm install --include=dev --audit=false
COPY --chown=myuser . ./
RUN npm run build

FROM apify/actor-node-playwright-chrome:20
RUN npm ls @crawlee/core apify puppeteer playwright
COPY --from=builder --chown=myuser /home/myuser/dist ./dist
COPY --chown=myuser package*.json ./
{INSTALL}
COPY --chown=myuser . ./
CMD ./start_xvfb_and_run_cmd.sh && npm run start:prod --silent
"""
PYTHON_BROWSER_DOCKERFILE = """\
FROM apify/actor-python-playwright:3.11
COPY requirements.txt ./
RUN pip install -r requirements.txt && playwright install --with-deps
COPY . ./
CMD python3 main.py
"""


def package(dependencies: dict[str, str], **scripts: str) -> str:
    fields: dict[str, Any] = {"name": "made", "version": "1.0.0", "type": "module"}
    return json.dumps({**fields, "dependencies": dependencies, "scripts": scripts})


async def test_a_python_project_of_the_usual_form(sdk: SdkActors) -> None:
    files = {
        "Dockerfile": PYTHON_DOCKERFILE,
        "requirements.txt": PYTHON_FILES["requirements.txt"],
        "my_actor/__init__.py": "",
        "my_actor/__main__.py": "import asyncio\nfrom .main import main\n\nasyncio.run(main())\n",
        "my_actor/main.py": "from apify import Actor\n\nasync def main():\n    async with Actor:\n"
        "        await Actor.set_value('OUTPUT', {'file': __file__})\n",
        ".actor/actor.json": '{"actorSpecification": 1, "name": "a", "version": "0.0"}',
    }
    run = await sdk.ran(await sdk.built(files))
    assert await sdk.record(run) == {"file": "/usr/src/app/my_actor/main.py"}


@needs_node
async def test_a_javascript_project_of_the_usual_form(sdk: SdkActors) -> None:
    program = "import { Actor } from 'apify';\nawait Actor.init();\n"
    program += "await Actor.setValue('OUTPUT', { folder: process.cwd() });\nawait Actor.exit();\n"
    files = {
        ".actor/Dockerfile": JAVASCRIPT_DOCKERFILE,
        ".actor/actor.json": '{"actorSpecification": 1, "name": "a", "version": "0.0", "dockerfile": "./Dockerfile"}',
        "package.json": package({"apify": "^3.2.6"}, start="node src/main.js"),
        "src/main.js": program,
    }
    run = await sdk.ran(await sdk.built(files))
    assert await sdk.record(run) == {"folder": "/usr/src/app"}


@needs_node
@needs_browser
async def test_a_compiled_project_crawls_with_a_browser(sdk: SdkActors) -> None:
    program = """
import { Actor } from 'apify';
import { PlaywrightCrawler } from 'crawlee';
await Actor.init();
const { start } = await Actor.getInput();
const crawler = new PlaywrightCrawler({
    maxRequestsPerCrawl: 3,
    maxConcurrency: 1,
    async requestHandler({ page, enqueueLinks }) {
        await Actor.pushData({ title: await page.title() });
        await enqueueLinks();
    },
});
await crawler.run([start]);
await Actor.exit();
"""
    scripts = {"build": "mkdir dist && cp main.ts dist/main.js", "start:prod": "node dist/main.js"}
    dependencies = {"apify": "^3.2.6", "crawlee": "^3.11.5", "playwright": "*"}
    files = {
        "Dockerfile": TYPESCRIPT_BROWSER_DOCKERFILE,
        "package.json": package(dependencies, **scripts),
        "main.ts": program,
    }
    actor = await sdk.built(files)
    async with serving() as site:
        run = await sdk.ran(actor, {"start": site.url})
    titles = sorted(item["title"] for item in await sdk.items(run))
    assert titles == ["Page 0", "Page 1", "Page 2"], await sdk.log(run)


@needs_browser
async def test_playwright_for_python_finds_the_browser_of_this_machine(sdk: SdkActors) -> None:
    program = """
import os
from playwright.sync_api import sync_playwright

with sync_playwright() as playwright:
    for headless in (True, False):
        browser = playwright.chromium.launch(headless=headless)
        page = browser.new_page()
        page.goto("URL")
        print("title:", page.title(), page.evaluate("1 + 1"))
        browser.close()
"""
    async with serving() as site:
        files = {
            "Dockerfile": PYTHON_BROWSER_DOCKERFILE,
            "requirements.txt": "playwright\n",
            "main.py": program.replace("URL", site.url),
        }
        run = await sdk.ran(await sdk.built(files))
    log = await sdk.log(run)
    assert log.count("title: Page 0 2") == 2, log
