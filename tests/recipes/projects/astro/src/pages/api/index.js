// An endpoint in the folder itself, which the middleware must guard.

export const GET = () => new Response("guarded");
