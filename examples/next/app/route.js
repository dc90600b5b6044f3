// GET / is for anybody.

export const GET = () => Response.json({ hello: "anybody" });
