// Things asked for again and again while somebody looks. Knows time and visibility; knows no endpoint.

/** Call `work` now and every `everyMs` after it has ended, while the page and `host` are to be seen. */
export function poll(host, everyMs, work) {
  let timer = 0;
  let busy = false;
  let wanted = false; // asked for meanwhile
  const seen = () => !document.hidden && !host.hidden;

  async function turn() {
    clearTimeout(timer);
    wanted = busy;
    if (busy || !seen()) return;
    busy = true;
    try {
      await work();
    } catch (error) {
      document.dispatchEvent(new CustomEvent("trouble", { detail: error }));
    }
    busy = false;
    timer = setTimeout(turn, wanted ? 0 : everyMs);
  }

  document.addEventListener("visibilitychange", turn);
  document.addEventListener("viewchanged", turn);
  turn();
  return turn;
}
