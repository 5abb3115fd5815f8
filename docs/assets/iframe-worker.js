// Search on pages opened from the disk: browsers refuse workers there, so the worker's script runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #frame = document.createElement("iframe");
    #listeners = [];
    #waiting = [];

    constructor(url) {
      super();
      this.#frame.hidden = true;
      this.#frame.src = "about:blank";
      document.documentElement.append(this.#frame);
      const inside = this.#frame.contentWindow;
      const load = address => new Promise((resolve, reject) => {
        const script = inside.document.createElement("script");
        Object.assign(script, { src: address, async: false, onload: resolve, onerror: reject });
        inside.document.head.append(script);
      });
      inside.addEventListener = (kind, listener) => kind === "message" && this.#listeners.push(listener);
      inside.importScripts = (...addresses) => Promise.all(addresses.map(load));
      inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }));
      load(url).then(() => this.#waiting.splice(0).forEach(data => this.#hand(data)));
    }

    #hand(data) {
      for (const listener of this.#listeners) listener({ data });
    }

    postMessage(data) {
      this.#listeners.length ? this.#hand(data) : this.#waiting.push(data);
    }

    terminate() {
      this.#frame.remove();
    }
  };
}
