// Decrypts recorded objects with the page, in a headless Chromium.
//
//   node test.mjs CHROMIUM PAGE FIXTURES
//
// PAGE is the folder with the page and its `pkg`, FIXTURES the one with the recorded objects.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const [chromium, page, fixtures] = process.argv.slice(2);
// Of both vendors, in AES-GCM and AES-CTR, with RSA and AES keys. All of them state what a body
// without its first byte does not have: a tag, or a length.
const CASES = ["cos-java/rsa-gcm-put-1000", "cos-java/rsa-ctr-put-1000", "cos-java/aes-ctr-put-1000"];
// These state nothing, so a shorter body is a shorter plaintext.
const VAGUE = ["cos-python/rsa-oaep-put-1000", "oss-python-v2/rsa-put-1000"];
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };

const cases = [];
for (const name of [...CASES, ...VAGUE]) {
  const folder = path.join(fixtures, name);
  const facts = JSON.parse(await readFile(path.join(folder, "case.json"), "utf8"));
  cases.push({ name, folder, facts });
}

/** The page of the test: it decrypts every object, right and with a changed byte. */
const TEST = `<!doctype html><pre></pre><script type="module">
import { open } from "./page.js";
const outcomes = [];
const fetched = (url) => fetch(url).then((answer) => answer.arrayBuffer());
const digits = (byte) => byte.toString(16).padStart(2, "0");
const hex = (buffer) => [...new Uint8Array(buffer)].map(digits).join("");
for (let n = 0; n < ${cases.length}; n += 1) {
  const names = ["headers", "body", "key"];
  const [headers, body, key] = await Promise.all(names.map((it) => fetched("/case/" + n + "/" + it)));
  try {
    const plain = await open(headers, body.slice(0), key);
    outcomes.push(hex(await crypto.subtle.digest("SHA-256", plain)));
  } catch (error) { outcomes.push("error: " + error.message); }
  try {
    await open(headers, body.slice(1), key);
    outcomes.push("opened");
  } catch (error) { outcomes.push("refused"); }
}
document.querySelector("pre").textContent = "outcomes " + JSON.stringify(outcomes) + " end";
</script>`;

const server = createServer(async (request, answer) => {
  const url = new URL(request.url, "http://localhost").pathname;
  try {
    const [, kind, number, file] = url.split("/");
    let bytes;
    if (url === "/test.html") bytes = TEST;
    else if (kind === "case") {
      const { folder, facts } = cases[Number(number)];
      const place = { headers: "headers.json", body: "cipher.bin", key: facts.key }[file];
      bytes = await readFile(path.join(folder, place));
    } else bytes = await readFile(path.join(page, path.normalize(url === "/" ? "index.html" : url)));
    answer.writeHead(200, { "content-type": TYPES[path.extname(url)] ?? "application/octet-stream" });
    answer.end(bytes);
  } catch (error) {
    answer.writeHead(404);
    answer.end(String(error));
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const profile = await mkdtemp(path.join(tmpdir(), "envelope-wasm-"));
try {
  const dump = async (url) => {
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
    const place = `http://127.0.0.1:${server.address().port}${url}`;
    const { stdout } = await promisify(execFile)(
      chromium,
      [...flags, `--user-data-dir=${profile}`, "--virtual-time-budget=60000", "--dump-dom", place],
      { maxBuffer: 1 << 24, timeout: 120_000 },
    );
    return stdout;
  };
  const shown = await dump("/test.html");
  const found = /<pre>outcomes (.*?) end<\/pre>/s.exec(shown);
  assert.ok(found, shown);
  const outcomes = JSON.parse(found[1].replaceAll("&quot;", '"'));
  for (const [n, { name, facts }] of cases.entries()) {
    assert.equal(outcomes[2 * n], facts.plain_sha256, name);
    const shorter = VAGUE.includes(name) ? "opened" : "refused";
    assert.equal(outcomes[2 * n + 1], shorter, `${name}, without its first byte`);
    console.log(`${name}: ok`);
  }
  // The page itself, whose policy allows no other script: this one has run if the form is ready.
  assert.match(await dump("/index.html"), /<form data-ready="">/);
} finally {
  server.close();
  await rm(profile, { recursive: true, force: true });
}
console.log(`${cases.length} objects were decrypted in Chromium`);
