SELECT concat('<<id:1[0..6]>>', '<<id:1[6..20]>>'), concat('<<secret:1[0..22]>>','<<secret:1[22..40]>>');
