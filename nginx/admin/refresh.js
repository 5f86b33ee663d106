// Repeats a look at the server while its view is shown and the page is visible.

/**
 * Calls `look(signal)` now and then every `seconds` until the signal of the view ends. `failed` hears of errors, and the
 * repetition goes on: a server that comes back is noticed. Returns a function that looks at once.
 */
export function repeat(signal, seconds, look, failed) {
  let timer = 0;
  let running = null;
  const round = async () => {
    clearTimeout(timer);
    if (running || signal.aborted) return running;
    running = (async () => {
      try {
        await look(signal);
      } catch (error) {
        if (!signal.aborted) failed(error);
      }
    })();
    await running;
    running = null;
    if (!signal.aborted && !document.hidden) timer = setTimeout(round, seconds * 1000);
  };
  const seen = () => { if (!document.hidden) round(); };
  document.addEventListener("visibilitychange", seen, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  round();
  return round;
}

/** The line below the bar that says that figures are old. */
export function connectionLost(error) {
  const place = document.getElementById("connection");
  const text = error
    ? `${error.code ?? "PAGE_ERROR"}: ${error.message}. The figures below are from before; trying again.` : "";
  if (place.textContent !== text) place.textContent = text;
  place.hidden = !error;
}
