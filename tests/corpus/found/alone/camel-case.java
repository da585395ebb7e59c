String key = "<<id:1>>";
void thisNameHasExactlyFortyLettersInsideOkay() {}
void refuseTheUploadOfV2<<nothing>>ArchivesWithout5Parts() {}
