// Keeps the page's own files for when there is no connection, and nothing else: what api/ says is never kept.

const shell = [
  './', 'app.css', 'app.js', 'api.js', 'dom.js', 'household.js', 'parts.js', 'picture.js', 'say.js', 'store.js', 'stream.js', 'switch.js', 'words.js',
  'words/en.json', 'words/fr.json', 'manifest.webmanifest', 'icons/icon.svg', 'icons/icon-192.png', 'icons/icon-512.png', 'icons/maskable-512.png', 'icons/apple-touch-180.png',
];
const kept = 'twinpanel-shell';
const patience = 4_000; // ms for the app to answer before the kept file is good enough

const own = new Set(shell.map(path => new URL(path, self.registration.scope).href));

self.addEventListener('install', event => {
  event.waitUntil((async () => {
    const cache = await caches.open(kept);
    await cache.addAll(shell.map(path => new Request(path, { cache: 'no-cache' })));
    await self.skipWaiting();
  })());
});

self.addEventListener('activate', event => event.waitUntil(self.clients.claim()));

self.addEventListener('fetch', event => {
  if (event.request.method === 'GET' && own.has(event.request.url)) event.respondWith(newest(event.request));
});

// The app's own answer comes first, so that an update of the app is one of the page at the next look.
async function newest(request) {
  const cache = await caches.open(kept);
  try {
    const answer = await fetch(request, { cache: 'no-cache', signal: AbortSignal.timeout(patience) });
    if (answer.ok) await cache.put(request, answer.clone());
    return answer;
  } catch (err) {
    const known = await cache.match(request);
    if (known) return known;
    throw err;
  }
}
