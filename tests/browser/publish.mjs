// The commands for the publish page.

/** What the page says of how publishing goes. */
function stats() {
  return window.millracePublish.stats();
}

export function publishing(page) {
  return {
    /**
     * Opens the publish page and sends the camera and the microphone under a name. Waits until the server takes it, or the page says why it
     * does not; gives what it says then.
     */
    async publish({ url, name, token = '', height = 360, framerate = 30, bitrate = 1000 }) {
      await page.goto(url);
      await page.getByLabel('Name of the broadcast').fill(name);
      await page.getByLabel('Token').fill(token);
      await page.getByLabel('Resolution').selectOption(String(height));
      await page.getByLabel('Pictures a second').selectOption(String(framerate));
      await page.getByLabel('Bitrate').fill(String(bitrate));
      await page.getByRole('button', { name: 'Start' }).click();
      await page.waitForFunction(
        () => {
          const { state, problem } = window.millracePublish.stats();
          return state === 'live' || problem !== null;
        },
        null,
        { polling: 50 },
      );
      return page.evaluate(stats);
    },

    /** Stops publishing. */
    async unpublish() {
      const before = await page.evaluate(stats);
      await page.getByRole('button', { name: 'Stop' }).click();
      return before;
    },
  };
}
