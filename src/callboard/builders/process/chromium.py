"""Where Actors find the host's Chromium, and the variables by which libraries are told."""

CHROMIUM = "/callboard/browsers/chromium"
PLAYWRIGHT_FOLDER = "/callboard/browsers/playwright"


def variables() -> dict[str, str]:
    """For steps and for the Actor."""
    names = ("APIFY_DEFAULT_BROWSER_PATH", "APIFY_CHROME_EXECUTABLE_PATH", "CHROME_BIN")
    crawlee = ("CRAWLEE_DEFAULT_BROWSER_PATH", "CRAWLEE_CHROME_EXECUTABLE_PATH")
    paths = dict.fromkeys((*names, *crawlee, "PUPPETEER_EXECUTABLE_PATH"), CHROMIUM)
    switches = (
        "APIFY_DISABLE_BROWSER_SANDBOX",
        "CRAWLEE_DISABLE_BROWSER_SANDBOX",
        "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD",
        "PUPPETEER_SKIP_DOWNLOAD",
        "PUPPETEER_SKIP_CHROMIUM_DOWNLOAD",
    )
    return {**paths, "PLAYWRIGHT_BROWSERS_PATH": PLAYWRIGHT_FOLDER} | dict.fromkeys(switches, "1")
