// The site's look: VitePress's own theme without its web fonts, and the colours of style.css.

import theme from "vitepress/theme-without-fonts";
import "./style.css";

export default theme;
