// What the page does with its three files, and what its test does without them.
import init, { decrypt } from "./pkg/envelope_wasm.js";

const ready = init();

/** Decrypts an object. All three are of the kind that `arrayBuffer()` returns. */
export async function open(headers, body, key) {
  await ready;
  const bytes = (buffer) => new Uint8Array(buffer);
  return decrypt(bytes(headers), bytes(body), bytes(key));
}

/** Fills the form of the page with life. */
export function start(document) {
  const form = document.querySelector("form");
  const said = document.querySelector("output");
  ready.then(() => form.setAttribute("data-ready", ""));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    said.textContent = "…";
    try {
      const [headers, body, key] = await Promise.all(
        ["headers", "body", "key"].map((name) => form.elements[name].files[0].arrayBuffer()),
      );
      const plain = await open(headers, body, key);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([plain], { type: "application/octet-stream" }));
      link.download = form.elements.body.files[0].name.replace(/\.enc$/, "") + ".plain";
      link.textContent = `${plain.length} bytes`;
      said.replaceChildren(link);
    } catch (error) {
      said.textContent = String(error.message ?? error);
    }
  });
}
