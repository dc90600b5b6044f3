// The page for operators: who is signed in, what is open, and when it loads again.

import { render } from "preact";
import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { connect } from "./api.js";
import { Audit } from "./audit.jsx";
import { Charts } from "./charts.jsx";
import { Danger } from "./danger.jsx";
import { Question } from "./dialogs.jsx";
import { KeysAndSettings } from "./keys.jsx";
import { Needs } from "./needs.jsx";
import { forget, isFresh, keep, noteActivity, resume } from "./operator.js";
import { Loaded, Status } from "./parts.jsx";
import { PaymentDrawer } from "./payment.jsx";
import { Payments } from "./payments.jsx";
import { People } from "./people.jsx";
import { PersonDrawer } from "./person.jsx";
import { Products } from "./products.jsx";
import { Search } from "./search.jsx";
import { SignIn } from "./sign-in.jsx";
import { Shared, useLoad } from "./state.js";
import "./style.css";
import { Today } from "./today.jsx";

const REFRESH_MS = 60_000; // as fine as the figures are: they are written at most every five minutes
const LOCK_CHECK_MS = 5_000;
const SAID_MS = 6_000;

function Page() {
  const [operator, setOperator] = useState(() => resume());
  const [reason, setReason] = useState();
  const lock = useCallback((why) => {
    forget();
    setReason(why);
    setOperator(undefined);
  }, []);
  if (!operator) {
    return (
      <SignIn
        reason={reason}
        onSignedIn={(answer) => {
          setReason(undefined);
          setOperator(keep(answer));
        }}
      />
    );
  }
  return <Console key={operator.token} operator={operator} lock={lock} />;
}

/** Locks when the token has expired or nobody has been there for a while. */
function useLock(operator, lock) {
  useEffect(() => {
    const check = () => {
      if (isFresh(operator)) return;
      lock(Date.now() >= operator.expiresAt ? "The hour is over. Sign in to continue where you were." : "Locked, because nobody used the page for 30 minutes.");
    };
    const note = () => {
      check();
      noteActivity(operator);
    };
    const events = ["pointerdown", "keydown", "wheel", "touchstart"];
    for (const event of events) addEventListener(event, note, { passive: true });
    document.addEventListener("visibilitychange", check);
    const timer = setInterval(check, LOCK_CHECK_MS);
    return () => {
      for (const event of events) removeEventListener(event, note);
      document.removeEventListener("visibilitychange", check);
      clearInterval(timer);
    };
  }, [operator, lock]);
}

/** Counts the minutes while the page is visible, and returns to it at once if it was not. */
function useMinute() {
  const [minute, setMinute] = useState(0);
  useEffect(() => {
    let last = Date.now();
    const step = () => {
      if (document.hidden || Date.now() < last + REFRESH_MS) return;
      last = Date.now();
      setMinute((minute) => minute + 1);
    };
    const timer = setInterval(step, REFRESH_MS / 12);
    document.addEventListener("visibilitychange", step);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", step);
    };
  }, []);
  return minute;
}

/** The drawer that the address names: `#user/<uid>` or `#payment/<id>`, and the function that closes
 * it.
 *
 * @returns {[{ kind: string, id: string } | undefined, () => void]} */
function useDrawer() {
  const read = () => {
    const [, kind, encoded] = /^#(user|payment)\/(.+)$/.exec(location.hash) ?? [];
    try {
      return kind && { kind, id: decodeURIComponent(encoded) };
    } catch {
      return undefined;
    }
  };
  const [drawer, setDrawer] = useState(read);
  useEffect(() => {
    const follow = () => setDrawer(read());
    addEventListener("hashchange", follow);
    addEventListener("popstate", follow);
    return () => {
      removeEventListener("hashchange", follow);
      removeEventListener("popstate", follow);
    };
  }, []);
  const close = useCallback(() => {
    history.pushState(null, "", location.pathname);
    setDrawer(undefined);
  }, []);
  return [drawer, close];
}

function Console({ operator, lock }) {
  const minute = useMinute();
  const [changes, setChanges] = useState(0);
  const [question, setQuestion] = useState(/** @type {any} */ (undefined));
  const [said, setSaid] = useState("");
  const [drawer, closeDrawer] = useDrawer();
  const [range, setRange] = useState("24h");
  const [filter, setFilter] = useState("all");
  useLock(operator, lock);
  const api = useMemo(() => connect(operator.token, () => lock("The sign-in is no longer valid. Sign in to continue where you were.")), [operator]);
  useEffect(() => {
    if (said === "") return undefined;
    const timer = setTimeout(() => setSaid(""), SAID_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const shared = useMemo(() => {
    const changed = (message) => {
      setChanges((changes) => changes + 1);
      return message;
    };
    return {
      api,
      operator,
      minute,
      changes,
      isOwner: operator.role === "owner",
      say: setSaid,
      /** Asks a question. After the act, everything loads again. */
      ask: (question) => setQuestion({ ...question, act: async (value) => changed(await question.act(value)) }),
      /** Acts without a question, and says what came of it. */
      act: (deed) => deed().then((message) => setSaid(changed(message))),
    };
  }, [api, operator, minute, changes]);
  return (
    <Shared.Provider value={shared}>
      <Overview range={range} setRange={setRange} filter={filter} setFilter={setFilter} lock={lock} />
      {drawer?.kind === "user" && <PersonDrawer key={drawer.id} uid={drawer.id} close={closeDrawer} said={said} />}
      {drawer?.kind === "payment" && <PaymentDrawer key={drawer.id} id={drawer.id} close={closeDrawer} said={said} />}
      {question && <Question {...question} say={setSaid} close={() => setQuestion(undefined)} />}
      {!drawer && <Status text={said} />}
    </Shared.Provider>
  );
}

function Overview({ range, setRange, filter, setFilter, lock }) {
  const overview = useLoad(`overview?range=${range}`, { keeps: true });
  const service = overview.data?.service;
  useEffect(() => {
    if (service) document.title = `${service.audience} · Console`;
  }, [service?.audience]);
  const showStuck = () => {
    setFilter("stuck");
    document.getElementById("payments").scrollIntoView();
  };
  return (
    <>
      <Head service={service} lock={lock} />
      <main aria-busy={overview.isLoading === true}>
        <Search />
        <Loaded from={overview}>
          {(data) => (
            <>
              <Needs needs={data.needs} showStuck={showStuck} />
              <Today overview={data} />
              <Charts overview={data} range={range} setRange={setRange} />
            </>
          )}
        </Loaded>
        <div class="columns">
          <div>
            <Payments filter={filter} setFilter={setFilter} />
            <Audit />
          </div>
          <div>
            <People />
            <Products />
            <KeysAndSettings />
          </div>
        </div>
        {service && <Danger audience={service.audience} />}
      </main>
      <footer>
        Console of pioneer-session{service && ` ${service.version}`}. An independent project, not affiliated with Pi Network. Times are local; the title of each has UTC.
      </footer>
    </>
  );
}

/** Pi's network, and the environment if it is not production. */
const placeOf = ({ network, environment }) => [network, environment === "production" ? undefined : environment].filter(Boolean).join(", ");

function Head({ service, lock }) {
  return (
    <Shared.Consumer>
      {({ operator }) => (
        <header>
          <div class="service">
            <h1 tabIndex={-1}>{service ? service.audience : "Console"}</h1>
            {service && (
              <p>
                {new URL(service.issuer).host} · {service.version} · {placeOf(service)}
              </p>
            )}
          </div>
          <div class="operator">
            <span>
              {operator.name} <small>{operator.role}</small>
            </span>
            <button class="small" onClick={() => lock(undefined)}>
              Lock
            </button>
          </div>
        </header>
      )}
    </Shared.Consumer>
  );
}

render(<Page />, document.body);
