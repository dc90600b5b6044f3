<?php
// Prints the verdicts of the PHP program of the documents on the cases of conformance.json.

declare(strict_types=1);

require __DIR__ . '/PiSession.php';

$cases = json_decode(file_get_contents($argv[1]), true, 512, JSON_THROW_ON_ERROR);
$settings = $cases['settings'];
$verifier = new PiSession(PiSession::loadKeys($cases['jwks']), $settings['issuer'], $settings['audience'], $settings['clockTolerance']);
$now = $settings['now'];
$feeds = array_map(fn ($entry) => base64_decode($entry['feed'], true), $cases['feeds']);
$feed = $verifier->readFeed($feeds[0], $now);

$verdict = function (callable $work): string {
    try {
        $work();
        return 'valid';
    } catch (Refused $refused) {
        return $refused->getMessage();
    }
};
echo json_encode([
    'tokens' => array_map(fn ($entry) => $verdict(fn () => $verifier->verify($entry['token'], $feed, $now)), $cases['tokens']),
    'feeds' => array_map(fn ($document) => $verdict(fn () => $verifier->readFeed($document, $now)), $feeds),
]);
