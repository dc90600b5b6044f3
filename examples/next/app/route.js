// GET / is public.

export const GET = () => Response.json({ hello: "anybody" });
