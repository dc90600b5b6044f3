// A route in the folder itself, which the hook must guard.

export const GET = () => new Response("guarded");
