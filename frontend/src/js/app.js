// What every page of the workspace shares. Each module starts itself; none needs inline code.
import "./shell/requests.js";
import "./shell/toasts.js";
import "./shell/dialogs.js";
import "./shell/drawer.js";
import "./shell/peek.js";
import "./shell/keys.js";
import "./shell/rows.js";
import "./shell/builder.js";
import "./shell/palette.js";
import "./shell/live.js";
import "./shell/looking.js";
import "./shell/clocks.js";
import "./shell/drafts.js";
import "./shell/small.js";
