// Prints the verdicts of the Java program of the documents on the cases of conformance.json.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

public final class Run {
  interface Work {
    void run() throws Exception;
  }

  private static String verdict(Work work) throws Exception {
    try {
      work.run();
      return "valid";
    } catch (PiSession.Refused refused) {
      return refused.getMessage();
    }
  }

  public static void main(String[] arguments) throws Exception {
    JsonNode cases = new ObjectMapper().readTree(new File(arguments[0]));
    JsonNode set = cases.get("settings");
    long now = set.get("now").longValue();
    var verifier = new PiSession(PiSession.loadKeys(cases.get("jwks")), set.get("issuer").textValue(), set.get("audience").textValue(), set.get("clockTolerance").longValue());
    PiSession.Feed feed = verifier.readFeed(cases.get("feeds").get(0).get("feed").binaryValue(), now);
    List<String> tokens = new ArrayList<>();
    List<String> feeds = new ArrayList<>();
    for (JsonNode entry : cases.get("tokens")) tokens.add(verdict(() -> verifier.verify(entry.get("token").textValue(), feed, now)));
    for (JsonNode entry : cases.get("feeds")) feeds.add(verdict(() -> verifier.readFeed(entry.get("feed").binaryValue(), now)));
    System.out.println(new ObjectMapper().writeValueAsString(Map.of("tokens", tokens, "feeds", feeds)));
  }
}
