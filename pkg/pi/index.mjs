// Empty at run time: pages import pioneer-session/pi for its types.
export {};
