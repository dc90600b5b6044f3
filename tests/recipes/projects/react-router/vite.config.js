// The configuration of the React Router application.

import { reactRouter } from "@react-router/dev/vite";

export default { plugins: [reactRouter()] };
