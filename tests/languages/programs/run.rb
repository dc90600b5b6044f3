# Prints the verdicts of the Ruby program of the documents on the cases of conformance.json.

require "json"
require_relative "pi_session"

cases = JSON.parse(File.read(ARGV[0], encoding: "UTF-8"))
settings = cases["settings"]
common = [PiSession.load_keys(cases["jwks"]), settings["issuer"], settings["audience"]]
clock = { tolerance: settings["clockTolerance"], now: settings["now"] }
feeds = cases["feeds"].map { |entry| entry["feed"].unpack1("m0") }
feed = PiSession.read_feed(feeds[0], *common, **clock)

def verdict
  yield
  "valid"
rescue PiSession::Refused => e
  e.message
end

puts JSON.generate(
  tokens: cases["tokens"].map { |entry| verdict { PiSession.verify(entry["token"], *common, feed: feed, **clock) } },
  feeds: feeds.map { |document| verdict { PiSession.read_feed(document, *common, **clock) } },
)
