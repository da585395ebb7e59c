String key = "<<id:1>>";
void testThatTheUploadServiceV2RefusesAnExpiry() {}
void thisNameHasExactlyFortyLettersInsideOkayA() {}
