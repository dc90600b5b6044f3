// Loads the SDK of the simulated Pi, which is on the next port.
//
// A real app writes, in its HTML, <script src="https://sdk.minepi.com/pi-sdk.js"></script>, and
// passes `Pi` itself to `signIn`.

/** A server on another port of this machine. */
export const neighbour = (distance) => `${location.protocol}//${location.hostname}:${Number(location.port) + distance}`;

export const simulator = neighbour(1);

export const sdk = new Promise((resolve, reject) => {
  const script = document.createElement("script");
  script.src = `${simulator}/sdk.js`;
  script.onload = () => resolve(window.Pi);
  script.onerror = () => reject(new Error("The sign-in script could not be loaded. Check that the simulated Pi is running."));
  document.head.append(script);
});
sdk.catch(() => {}); // Shown when the user signs in.
