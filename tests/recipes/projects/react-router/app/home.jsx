// The open page.

export default function Home() {
  return <p>Anybody may read this.</p>;
}
