// Checks of an opened page's words: see pagechecks.py. Each function returns a list of texts, empty where all is well.
(() => {
  const SLACK_PX = 1.5;

  const isShown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  // Content for readers who do not see: clipped to nothing.
  const isUnseen = (element) => element.closest(".unseen, .skip:not(:focus)") !== null;

  function textNodes() {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      const node = walker.currentNode;
      const element = node.parentElement;
      if (!node.data.trim() || /^(SCRIPT|STYLE|NOSCRIPT|TITLE|TEXTAREA|OPTION)$/i.test(element.tagName)) continue;
      if (isShown(element) && !isUnseen(element)) found.push(node);
    }
    return found;
  }

  // Boxes of the lines of a text, cut to what its scrolling ancestors show of it.
  function boxesOf(node) {
    const range = document.createRange();
    range.selectNodeContents(node);
    const svg = node.parentElement.closest("text");
    const own = svg ? [svg.getBoundingClientRect()] : Array.from(range.getClientRects());
    let boxes = own.map(({ left, top, right, bottom }) => ({ left, top, right, bottom }));
    for (let e = node.parentElement; e && e !== document.body; e = e.parentElement) {
      const { overflowX, overflowY } = getComputedStyle(e);
      if (e instanceof SVGElement || (overflowX === "visible" && overflowY === "visible")) continue;
      const cut = e.getBoundingClientRect();
      boxes = boxes.map((box) => ({ left: Math.max(box.left, cut.left), top: Math.max(box.top, cut.top),
        right: Math.min(box.right, cut.right), bottom: Math.min(box.bottom, cut.bottom) }));
    }
    return boxes.filter(({ left, top, right, bottom }) => right - left > 1 && bottom - top > 1);
  }

  const blockOf = (element) => {
    for (let e = element; e; e = e.parentElement) {
      if (e.tagName.toLowerCase() === "text") return e;
      if (!(e instanceof SVGElement) && !getComputedStyle(e).display.startsWith("inline")) return e;
    }
    return document.body;
  };

  const isFloating = (element) => {
    for (let e = element; e; e = e.parentElement) if (/^(fixed|sticky)$/.test(getComputedStyle(e).position)) return true;
    return false;
  };

  const nameOf = (element) => {
    const part = element.closest("figure, section, .bar, nav, header, footer, [id]");
    return part ? part.id || part.className || part.tagName.toLowerCase() : "body";
  };

  function overlaps() {
    const pieces = textNodes().flatMap((node) => {
      const element = node.parentElement;
      const [block, floats] = [blockOf(element), isFloating(element)];
      return boxesOf(node).map((box) => ({ ...box, block, floats, element, words: node.data.trim().slice(0, 40) }));
    }).sort((a, b) => a.top - b.top);
    const found = [];
    for (let i = 0; i < pieces.length; i++) {
      const a = pieces[i];
      for (let j = i + 1; j < pieces.length && pieces[j].top < a.bottom - SLACK_PX; j++) {
        const b = pieces[j];
        if (a.block === b.block || a.floats !== b.floats) continue;
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const tall = Math.min(a.bottom, b.bottom) - b.top;
        if (wide > SLACK_PX && tall > SLACK_PX) found.push(`${nameOf(a.element)}: "${a.words}" and "${b.words}" by ${wide.toFixed(0)} x ${tall.toFixed(0)} px`);
      }
    }
    return found;
  }

  // Words that leave the window, or the panel that they belong to.
  function outside() {
    const found = [];
    for (const node of textNodes()) {
      if (node.parentElement.closest(".tip")) continue;
      const room = node.parentElement.closest("figure")?.getBoundingClientRect() ?? { left: 0, right: document.documentElement.clientWidth };
      for (const { left, right } of boxesOf(node)) {
        if (left < room.left - SLACK_PX || right > room.right + SLACK_PX)
          found.push(`${nameOf(node.parentElement)}: "${node.data.trim().slice(0, 40)}" from ${left.toFixed(0)} to ${right.toFixed(0)}, outside ${room.left.toFixed(0)} to ${room.right.toFixed(0)}`);
      }
    }
    return found;
  }

  // --- contrast ----------------------------------------------------------------------------------------------------

  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colours = new Map();

  // Any CSS colour as [r, g, b, alpha], 0 to 255 and 0 to 1.
  function parsed(colour) {
    if (!colours.has(colour)) {
      probe.canvas.width = probe.canvas.height = 1;
      probe.fillStyle = colour;
      probe.fillRect(0, 0, 1, 1);
      const [r, g, b, alpha] = probe.getImageData(0, 0, 1, 1).data;
      colours.set(colour, [r, g, b, alpha / 255]);
    }
    return colours.get(colour);
  }

  const over = ([r, g, b, alpha], ground) => [r, g, b].map((c, i) => c * alpha + ground[i] * (1 - alpha));

  function luminance(colour) {
    const [r, g, b] = colour.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(a, b) {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  }

  // The backgrounds under an element, from the canvas of the page up; the share of ink that opacity leaves.
  function groundOf(element) {
    const layers = [];
    let opacity = 1;
    for (let e = element; e; e = e.parentElement) {
      const style = getComputedStyle(e);
      opacity *= Number(style.opacity);
      if (!(e instanceof SVGElement)) layers.push(parsed(style.backgroundColor));
    }
    const page = getComputedStyle(document.documentElement).colorScheme.startsWith("dark") ? [18, 18, 18] : [255, 255, 255];
    return { ground: layers.reverse().reduce((under, layer) => over(layer, under), page), opacity };
  }

  // The mean of what is painted on canvases under a box, if it covers a part of the box that counts.
  function paintedUnder(element, box, ground) {
    let under = ground;
    for (const canvas of element.closest(".plot, .picture")?.querySelectorAll("canvas") ?? []) {
      const place = canvas.getBoundingClientRect();
      const [sx, sy] = [canvas.width / place.width, canvas.height / place.height];
      const [x, y] = [Math.round((box.left - place.left) * sx), Math.round((box.top - place.top) * sy)];
      const [w, h] = [Math.round((box.right - box.left) * sx), Math.round((box.bottom - box.top) * sy)];
      if (w < 1 || h < 1 || !canvas.width) continue;
      probe.canvas.width = w;
      probe.canvas.height = h;
      probe.drawImage(canvas, -x, -y);
      const { data } = probe.getImageData(0, 0, w, h);
      const sum = [0, 0, 0, 0];
      for (let i = 0; i < data.length; i += 4) for (let c = 0; c < 4; c++) sum[c] += c < 3 ? data[i + c] * data[i + 3] : data[i + c];
      const share = sum[3] / 255 / (w * h);
      if (share > 0.25) under = over([...[0, 1, 2].map((c) => sum[c] / sum[3]), share], under);
    }
    return under;
  }

  function faint() {
    const found = new Set();
    let seen = 0;
    for (const node of textNodes()) {
      const element = node.parentElement;
      const [box] = boxesOf(node);
      if (!box || element.closest("[disabled], [aria-disabled=true]")) continue;
      const style = getComputedStyle(element);
      const svg = element.closest("text");
      const { ground, opacity } = groundOf(element);
      const under = svg ? paintedUnder(element, box, ground) : ground;
      const [r, g, b, alpha] = parsed(svg ? style.fill : style.color);
      const part = opacity * (svg ? Number(style.fillOpacity) : 1);
      const ratio = contrast(over([r, g, b, alpha * part], under), under);
      const size = parseFloat(style.fontSize);
      const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
      seen++;
      if (ratio < least - 0.005) found.add(`${nameOf(element)}: "${node.data.trim().slice(0, 40)}" has a contrast of ${ratio.toFixed(2)}, less than ${least}`);
    }
    return { faint: Array.from(found), seen };
  }

  return { overlaps: overlaps(), outside: outside(), ...faint() };
})()
