/* Browsers start no workers for pages opened as files: let the search run in a hidden frame there. */
"use strict";
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.documentElement.append(frame);
      const scope = frame.contentWindow;
      scope.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = frame.contentDocument.createElement("script");
      script.src = new URL(url, document.baseURI);
      this.started = new Promise((resolve) => script.addEventListener("load", resolve));
      this.frame = frame;
      frame.contentDocument.body.append(script);
    }

    postMessage(data) {
      const { contentWindow } = this.frame;
      this.started.then(() => contentWindow.dispatchEvent(new contentWindow.MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
