// A route in a folder of a group, which the hook must guard.

export const GET = () => new Response("guarded");
