// What this phone remembers. A browser may forbid that; then it forgets.

export function get(key) {
  try {
    return localStorage.getItem(`twinpanel.${key}`);
  } catch {
    return null;
  }
}

export function set(key, value) {
  try {
    localStorage.setItem(`twinpanel.${key}`, value);
  } catch {
    // it forgets
  }
}
