// The one act that touches everybody. Only an owner sees it.

import { Panel } from "./parts.jsx";
import { useShared } from "./state.js";

export function Danger({ audience }) {
  const { api, ask, isOwner } = useShared();
  if (!isOwner) return null;
  const question = {
    title: "Sign everybody out?",
    text: `Every user of the app must sign in again. It cannot be taken back. To go on, type the audience: ${audience}`,
    action: "Sign everybody out",
    isDangerous: true,
    field: { label: "The audience", expected: audience },
    act: async (confirm) => {
      await api.act("POST", "revoke-all", { confirm });
      return "Everybody was signed out.";
    },
  };
  return (
    <Panel id="danger" title="Danger" kind="danger-zone">
      <div class="with-button">
        <p>Revokes all sessions of all users, for example after a key has leaked.</p>
        <button class="danger-quiet" onClick={() => ask(question)}>
          Sign everybody out …
        </button>
      </div>
    </Panel>
  );
}
